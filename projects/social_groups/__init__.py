"""Social group activity recognition with deformable transformers (Tamura et al., ECCV 2022; Tamura, IJCV 2024): a synthetic analogue."""
