"""The market's contracts as they are built, deployed and read."""
