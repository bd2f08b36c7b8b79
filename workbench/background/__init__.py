"""What jobs do, each in a process of its own; `workbench.jobs.JOBS` names the functions.

A function gets a `Report` to say how far it is, the folder that it works in, and plain arguments. Begun again after an
interruption, a campaign and a sweep continue; a training starts anew.
"""
