"""Comprehensive Attention Benchmarking (Zhang et al., ICML 2023)."""
