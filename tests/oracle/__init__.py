"""Slow, obvious versions of the physics in double precision, written from the equations and not from the kernels.

Nothing here is fast and nothing is shared with the package: a test that compares the two compares two readings of the
same equations.
"""
