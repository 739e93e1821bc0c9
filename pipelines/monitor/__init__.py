"""The monitor on a schedule: `gream monitor`, and the runs that it starts, on this machine or through KFP."""
