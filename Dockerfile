# SteerGAN with its pinned packages. Build: docker build -t steergan .
# With an NVIDIA GPU: docker build -t steergan --build-arg INDEX=https://download.pytorch.org/whl/cu128 .
# Run: docker run --rm -it --gpus=all -v "$PWD/data:/steergan/data" -v "$PWD/runs:/steergan/runs" steergan \
#          python train.py --outdir=runs --data=data/critters32.zip --cfg=demo
FROM python:3.12-slim-bookworm

# The native operators are compiled at their first use.
RUN apt-get update && apt-get install -y --no-install-recommends g++ make && rm -rf /var/lib/apt/lists/*

WORKDIR /steergan
ARG INDEX=https://download.pytorch.org/whl/cpu
COPY requirements.txt ./
RUN pip install --no-cache-dir --extra-index-url "$INDEX" -r requirements.txt

COPY . .
# Nobody has to be root in it, and what the first use builds is kept in a volume.
RUN useradd --create-home steergan && mkdir -p /cache runs data && chown -R steergan /cache /steergan
USER steergan
ENV STEERGAN_CACHE=/cache PYTHONUNBUFFERED=1
VOLUME /cache
CMD ["python", "train.py", "--help"]
