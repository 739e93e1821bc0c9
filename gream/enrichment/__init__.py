"""Item profiles: title, description and reviews fused into one text for each item (paper, section 3.1)."""
