"""Random indoor scenes with exact depth, and random cut-outs: the bundled depth network learned from them."""
