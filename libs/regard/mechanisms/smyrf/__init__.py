"""SMYRF attention: queries and keys are hashed, sorted and cut into balanced clusters, and attend inside them.

    F(q) = [q; 0; √(M_Q² + M_K² - ‖q‖²)]        G(k) = [k; √(M_Q² + M_K² - ‖k‖²); 0]        M_Q = max ‖q_i‖, M_K = max ‖k_j‖

so that ‖F(q) - G(k)‖² = 2 (M_Q² + M_K² - q · k): the nearest key is the one with the largest product, for all queries
at once. Round r sorts queries by α_r · F(q) and, separately, keys by α_r · G(k), α_r ~ N(0, I), and cuts both lists
into clusters. The rounds are merged by the softmax of their log-sum-exps, which is one softmax over all keys met, where
a key met twice counts twice:

    out_i = Σ_r Σ_j exp(scale · q_i · k_j) v_j / Σ_r Σ_j exp(scale · q_i · k_j)        j over the keys of i's cluster in round r

The hash uses q and k unscaled; M is taken per (batch, head) over real tokens. Daras et al., "SMYRF: Efficient Attention
using Asymmetric Clustering", 2020. Time O(r (n log n + n K (d + e))), memory O(n (d + e)): one round at a time, its
scores never stored. A row of a padded batch equals its unpadded run; in cross attention without `key_cluster_size`,
which then follows from the padded lengths, as long as the row has at least the batch's ratio of queries to keys.

Causal self attention is ours: the paper has none, and its clusters would reveal the future to the past. Each query
meets its own block of C tokens up to itself, and one cluster from each of ≤ log₂(n / C) earlier intervals, found from
the past alone. Time O(r n (log² n + K (d + e) log(n / C))).

naive.py                 the definition: how often each query meets each key
layer.py                 the function on split heads, the layer
hashing.py               the asymmetric hash, and the others of the ablation
clusters.py              ragged and masked rows cut into balanced clusters
causal_clusters.py       clusters that no later token decides
clustered_attention.py   fused attention inside clusters, rounds merged
unbiased.py              a merge of ours: a pair that is met weighs 1 / P(met)
"""

from regard.mechanisms.smyrf.layer import SmyrfAttention, smyrf
from regard.mechanisms.smyrf.naive import naive_smyrf

__all__ = ["SmyrfAttention", "naive_smyrf", "smyrf"]
