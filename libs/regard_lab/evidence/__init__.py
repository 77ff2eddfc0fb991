"""What results are judged by: papers, claims, statistics."""
