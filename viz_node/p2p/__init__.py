"""Host, announcements, requests, verified transfer and tunnels between nodes, over libp2p."""
