"""Running ffmpeg and ffprobe: tools, argument lists, bounds and progress."""
