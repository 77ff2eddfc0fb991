"""SMYRF: Efficient Attention using Asymmetric Clustering (Daras, Kitaev, Odena, Dimakis; NeurIPS 2020)."""
