"""Networks, their losses and metrics, and the training loop."""
