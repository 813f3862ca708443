"""What the tasks of perturbation screens share: labels, equal cells in halves, sums of layers over them."""
