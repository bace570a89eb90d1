"""What XGBoost scripts import of their image: data_utils, distributed, checkpointing.

The image's algorithm mode is no Python here but millwright-algorithms.
"""
