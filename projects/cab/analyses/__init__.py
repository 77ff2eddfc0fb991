"""What trains no model of its own: the index over the tasks, the published numbers recomputed, certification, and costs."""
