"""One chain's endpoints: requests, logs and proofs, all of it checked."""
