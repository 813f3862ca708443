# A container with everything that requirements.txt pins. UNTESTED: no container engine was at hand.
#
#   docker build -t layerscope .
#   docker run --rm -v "$PWD:/study" -w /study layerscope snakemake --cores 4 --snakefile /layerscope/Snakefile
#
# For GPUs take torch's CUDA build: --build-arg TORCH_INDEX=... names the index that PyTorch's own page gives.
# Apptainer: apptainer build layerscope.sif docker-daemon://layerscope:latest
FROM python:3.11-slim

ARG TORCH_INDEX=""
RUN apt-get update && apt-get install --no-install-recommends -y make && rm -rf /var/lib/apt/lists/*
WORKDIR /layerscope
COPY requirements.txt .
RUN if [ -n "$TORCH_INDEX" ]; then pip install --no-cache-dir torch==2.13.0 --index-url "$TORCH_INDEX"; fi \
    && pip install --no-cache-dir -r requirements.txt
COPY . .
ENV PYTHONPATH=/layerscope/workflow
CMD ["snakemake", "--cores", "all"]
