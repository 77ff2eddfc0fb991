"""The network: deformable transformer, designs of its queries and of its decoder's self attention, heads."""
