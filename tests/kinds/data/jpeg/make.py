# Makes the pictures of this folder: NAME_SIZE.png holds libjpeg's pixels (Pillow) of every NAME_SIZE_*.jpg.
# usage: python3 make.py     (needs Pillow, NumPy, and cjpeg of libjpeg-turbo)
import subprocess
import numpy
from PIL import Image

SCANS = {"scans": "0;1;2;", "separate": "0:0-0,0,1;1:0-0,0,1;2:0-0,0,1;0:1-63,0,0;1:1-63,0,0;2:1-63,0,0;"
         "0:0-0,1,0;1:0-0,1,0;2:0-0,1,0;"}
for size in (18, 21):
    y, x = numpy.mgrid[0:size, 0:size]
    waves = [128 + 110 * numpy.sin(x / 2 + y / 5), 128 + 110 * numpy.cos(y / 3 - x / 7), 255 * ((x // 5 + y // 4) % 2)]
    picture = numpy.stack(waves, -1).astype(numpy.uint8)
    Image.fromarray(picture).save("picture.ppm")
    forms = {"one": [], "restart": ["-restart", "1B"]} if size == 21 else {"progressive": ["-progressive"]}
    for name, text in SCANS.items():
        if (name == "scans") == (size == 18):
            open(f"/tmp/{name}", "w").write(text)
            forms[name] = ["-scans", f"/tmp/{name}"]
    for name, factors in {"444": "1x1", "422": "2x1", "420": "2x2", "440": "1x2", "411": "4x1", "grey": None}.items():
        for form, options in forms.items():
            if factors is None and form in SCANS:
                continue
            sampling = ["-sample", factors] if factors else ["-grayscale"]
            jpeg = f"{name}_{size}_{form}.jpg"
            command = ["cjpeg", "-quality", "85", "-optimize", *sampling, *options, "-outfile", jpeg, "picture.ppm"]
            subprocess.run(command, check=True)
            Image.open(jpeg).convert("RGB").save(f"{name}_{size}.png")
# four inks as Adobe stores them, then the same bytes said to be YCCK
inks = numpy.concatenate([255 - picture, picture.min(-1, keepdims=True) // 3], -1)
Image.frombytes("CMYK", (size, size), inks.tobytes()).save(f"cmyk_{size}_one.jpg", quality=85, optimize=True)
data = open(f"cmyk_{size}_one.jpg", "rb").read()
place = data.index(b"Adobe") + 11
open(f"ycck_{size}_one.jpg", "wb").write(data[:place] + b"\2" + data[place + 1:])
for name in ("cmyk", "ycck"):
    Image.open(f"{name}_{size}_one.jpg").convert("RGB").save(f"{name}_{size}.png")
