"""Cell types: can a layer tell them apart in cells of donors that it was not fitted to?"""
