"""The world of kth-mini: people who walk, jog, run, box, clap and wave."""
