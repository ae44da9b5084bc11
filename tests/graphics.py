"""A graphics device that is not there: an ffmpeg that makes in software what it is asked of h264_qsv or h264_vaapi.

It fails when it is told to, at the chunk that it is told: with an exit status, with green or broken pictures, with
fewer than it should make, or by doing nothing at all.
"""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

PROGRAM = """#!{python}
import json, os, subprocess, sys, time
REAL, FOLDER = {real!r}, {folder!r}
argv = sys.argv[1:]
encoder = argv[argv.index("-c:v") + 1] if "-c:v" in argv else ""
if encoder not in ("h264_qsv", "h264_vaapi"):
    os.execv(REAL, [REAL, *argv])
assert "-init_hw_device" in argv, "no graphics device was opened"
DROPPED = ("-init_hw_device", "-filter_hw_device", "-low_power", "-mbbrc", "-rc_init_occupancy", "-forced_idr",
           "-rc_mode", "-sei")
made = []
words = iter(argv)
for word in words:
    if word in DROPPED:
        next(words)
    elif word == encoder:
        made += ["libx264", "-x264-params", "stitchable=1", "-sc_threshold", "0"]
    elif word == "-preset":
        made += [word, "ultrafast"]
        next(words)
    elif word == "-level:v":
        level = next(words)
        made += [word, level[0] + "." + level[1]]
    else:
        made.append(word.replace(",format=nv12,hwupload", ",format=nv12"))
target = argv[-1].removeprefix("file:")
with open(FOLDER + "/calls", "a") as calls:
    calls.write(encoder + " " + target + "\\n")
with open(FOLDER + "/orders.json") as file:
    orders = [mode for only, place, mode in json.load(file) if only in ("", encoder) and place in target]
mode = orders[0] if orders else ""
if mode.startswith("once "):
    with open(FOLDER + "/orders.json", "w") as file:
        file.write("[]")
    mode = mode.removeprefix("once ")
def change(option, how):
    made[made.index(option) + 1] = how(made[made.index(option) + 1])
if mode == "hang":
    time.sleep(1e6)
if mode in ("exit", "short") and "-frames:v" in made:
    change("-frames:v", lambda count: str(int(count) // 2))
if mode == "green":
    change("-vf", lambda chain: chain + ",lutyuv=y=0:u=0:v=0")
if mode == "keyless":
    change("-force_key_frames", lambda _: "expr:eq(n,0)")
    change("-g", lambda _: "9999")
status = subprocess.call([REAL, *made])
if mode == "broken":
    data = bytearray(open(target, "rb").read())
    for place in range(len(data) // 2, len(data) // 2 + 300):
        data[place] ^= 0x5A
    open(target, "wb").write(data)
if mode == "exit":
    print("[h264 @ 0x0] Error during encoding: device failed (-17)", file=sys.stderr)
    status = 234
sys.exit(status)
"""


class Graphics:
    """The stand-in, and what it was told to do. `folder` goes in front of PATH."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()
        self.heal()
        program = folder / "ffmpeg"
        program.write_text(PROGRAM.format(python=sys.executable, real=shutil.which("ffmpeg"), folder=str(folder)))
        program.chmod(0o755)

    def fail(self, mode: str, *, at: str = "", encoder: str = "") -> None:
        """Fail where the target's path holds `at`: "trial-", "-3-" (the third chunk), "film.mp4"; or once only.

        The modes: exit, green, broken, short, keyless, hang, and each of them after "once ".
        """
        self._orders.append((encoder, at, mode))
        self._write()

    def heal(self) -> None:
        """Work again."""
        self._orders: list[tuple[str, str, str]] = []
        self._write()

    @property
    def calls(self) -> list[tuple[str, str]]:
        """What was asked of it: encoder and target."""
        path = self.folder / "calls"
        lines = path.read_text().splitlines() if path.exists() else []
        return [(line.split(" ", 1)[0], line.split(" ", 1)[1]) for line in lines]

    def chunks(self) -> list[int]:
        """Return the numbers of the chunks that it was asked for, in order."""
        names = [Path(target).parent.name for _, target in self.calls if target.endswith("chunk.mp4")]
        return [int(name.split("-")[-2]) for name in names]

    def _write(self) -> None:
        fresh = self.folder / "orders.part"
        fresh.write_text(json.dumps(self._orders))
        fresh.rename(self.folder / "orders.json")
