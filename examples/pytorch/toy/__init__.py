"""A small language model with Multi-Token Attention, and the paper's toy task (arXiv 2504.00927, section 4.1)."""
