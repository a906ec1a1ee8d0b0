"""The face's work: the path of a signing request in typed steps, and the receipt that goes with the answer."""
