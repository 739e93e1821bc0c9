"""The closed loop on one machine: weeks of a shop in twenty minutes, with real servers, and nobody present.

world       MovieLens-100K in time order as a shop's past and future; what shifts, and when
traffic     a day of visitors at the served policy's HTTP API
server      `gream serve`, from start to stop
stage       the acts: training, quiet, a shift, retraining, a bad challenger, a rollback
timeline    what happened, as a table and a figure
"""
