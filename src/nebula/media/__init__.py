"""FFmpeg: probing, argument lists, runs and verification. The only home of subprocess for media."""
