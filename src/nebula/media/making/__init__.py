"""Making a film, its chunks and its subtitles with ffmpeg."""
