"""The stages that make a data set, and the primitives that they share."""
