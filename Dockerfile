# syntax=docker/dockerfile:1
# docker build -t mdeas .                                  a CPU image
# docker build -t mdeas --build-arg TORCH=cu130 .          an image for CUDA 13.0 (docker run --gpus all)
# docker run --rm -v "$PWD":/work mdeas demo
FROM python:3.11-slim

# cpu, or the name of a CUDA index of PyTorch such as cu126, cu128, cu130. torch and torchvision come from the
# same index: one of the two from elsewhere breaks timm.
ARG TORCH=cpu

ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PYTHONUNBUFFERED=1

RUN pip install torch torchvision --index-url "https://download.pytorch.org/whl/${TORCH}"

COPY . /src
RUN pip install /src && rm -rf /src \
    && useradd --create-home --uid 1000 mdeas \
    && mkdir /work && chown mdeas:mdeas /work

USER 1000
WORKDIR /work
ENTRYPOINT ["mdeas"]
CMD ["--help"]
