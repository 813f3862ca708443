"""Time: does a layer put samples of held-out donors, or batches, into the order in which they were taken?"""
