"""Random indoor scenes with exact depth, and random cut-outs: what the bundled depth network is trained on."""
