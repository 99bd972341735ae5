#!/usr/bin/env bash
# The reference results again from nothing: trains, tunes, packs, sweeps, attacks and publishes. Every step goes on where
# it was stopped and skips what is finished. From the project's root, after `cargo build --release` and `data fetch`:
#   configs/reference/run.sh mnist_lenet5|cifar10_resnet20 STEP...
# steps: shared (ResNet-20: the network that the trainings start from), tune, train, pack, sweep, attack
#   configs/reference/run.sh publish
set -euo pipefail
wcat=${WCAT:-target/release/wcat-explore}
work=${WORK:-results/training}
# memory that a training step gave back is kept for the next step: a tenth less CPU time
export MIMALLOC_PURGE_DELAY=${MIMALLOC_PURGE_DELAY:--1}

# The values of the grids below that had the highest mean accuracy on the validation split (docs/results.md), and what the
# grids try: three values for each of the three methods, and one more beyond the end of a grid whose best value lay there.
wclip_mnist_lenet5=0.2 plclip_mnist_lenet5=0.2 decay_mnist_lenet5=0.01
wclip_cifar10_resnet20=0.1 plclip_cifar10_resnet20=0.2 decay_cifar10_resnet20=0.1
wclips_mnist_lenet5="0.1 0.2 0.4" plclips_mnist_lenet5="0.1 0.2 0.4" decays_mnist_lenet5="0.003 0.01 0.03"
wclips_cifar10_resnet20="0.05 0.1 0.2 0.4" plclips_cifar10_resnet20="0.1 0.2 0.4" decays_cifar10_resnet20="0.03 0.1 0.3"

compute() { "$wcat" "$@" --arithmetic direct; } # as the stored runs and models, which are older than the default

of() { local name=$1_$net; printf '%s' "${!name}"; }

# train METHOD BITS SEED VALUE: VALUE is the clip of wclip, plclip and randbet, the range decay of wcat
train() {
  local method=$1 bits=$2 seed=$3 value=$4 key
  case $method in
    wclip | randbet) key=quantizer.wclip ;;
    plclip) key=quantizer.plclip ;;
    wcat) key=trainer.optimizer.range_decay ;;
  esac
  compute train --config "configs/reference/$net.yaml" --config "methods/$method" --config "bits/$bits" --seed "$seed" \
    --set "name=$net${tag:-}" ${key:+--set "$key=$value"} --threads 1 --quiet --out "$work"
}

try() { tag=-$2 train "$1" 4 1 "$2"; } # METHOD VALUE
one() {                                # METHOD BITS SEED
  local value
  value=$(value "$1")
  # a ResNet takes long: that of the grid is not trained again under another name
  case $net in cifar10_resnet20) tag=${value:+-$value} ;; esac
  train "$1" "$2" "$3" "$value"
}

value() { # the tuned value of a method
  case $1 in
    wclip | randbet) of wclip ;;
    plclip) of plclip ;;
    wcat) of decay ;;
  esac
}

each() { # runs this script's step for each line of standard input, so many at a time as there are cores, a thread each
  xargs -n "$2" -P "${JOBS:-$(nproc)}" "$0" "$net" "$1" >/dev/null
}

all() { # METHOD BITS SEED of every model, seed by seed
  for seed in $seeds; do
    for bits in $widths; do
      for method in normal lsq wclip plclip randbet wcat; do echo "$method $bits $seed"; done
    done
  done
}

grid() { # METHOD VALUE of every try
  for clip in $(of wclips); do echo "wclip $clip"; done
  for clip in $(of plclips); do echo "plclip $clip"; done
  for decay in $(of decays); do echo "wcat $decay"; done
}

step() {
  case $1 in
    shared)
      mkdir -p results/models/cifar10-resnet20
      cp "$(compute train --config cifar10_resnet20 --config methods/normal --config bits/8 --set trainer.epochs=30 \
        --set name=scratch --out "$work")" results/models/cifar10-resnet20/shared.safetensors
      compute sweep --config "configs/reference/$net.yaml" --model results/models/cifar10-resnet20/shared.safetensors \
        --images 1000 --chips 20 --out cifar10-resnet20-shared
      ;;
    tune)
      grid | each try 2
      local models=()
      while read -r method value; do models+=("$(try "$method" "$value")"); done < <(grid)
      compute sweep --config "configs/reference/$net.yaml" --split validation --bers 0,0.001,0.01 --chips 10 \
        --out "tune-${net//_/-}" "${models[@]/#/--model=}"
      ;;
    train) all | each one 3 ;;
    pack)
      local models=()
      while read -r method bits seed; do models+=("$(one "$method" "$bits" "$seed")"); done < <(all)
      "$wcat" pack --out "results/models/${net//_/-}" "${models[@]/#/--model=}"
      ;;
    sweep)
      local own=(--config "configs/reference/$net.yaml") chips tolerance many
      case $net in
        mnist_lenet5) chips=10 tolerance=0.02 many=many-chips ;;
        cifar10_resnet20) chips=50 tolerance=0.01 many=all-images ;; # 50 chips on 1000 images
      esac
      compute sweep "${own[@]}" --chips $chips --out "${net//_/-}"
      if [ "$net" = cifar10_resnet20 ]; then # one rate on all images
        compute sweep "${own[@]}" --models "$(ls results/models/cifar10-resnet20/*-4bit.safetensors | paste -sd,)" \
          --bers 0,0.01 --images 10000 --chips 20 --out "${net//_/-}-1-percent"
      fi
      # the mean on all images, by hundreds of chips with few images each
      own+=(--set sweep.images=null --sampling two-level --chips 50)
      compute sweep "${own[@]}" --tolerance $tolerance --out "${net//_/-}-$many"
      compute sweep "${own[@]}" --tolerance 0.02 --memory sram-28nm-kc705b-salami2018 --array independent,model \
        --bers 0,0.0001,0.001,0.01 --out "${net//_/-}-28nm-many-chips"
      ;;
    attack)
      local flips until
      case $net in # networks that always give one answer have 10.0 % of 500 CIFAR-10 images, up to 11.4 % of MNIST's
        cifar10_resnet20) flips=80 until=0.11 ;;
        mnist_lenet5) flips=250 until=0.12 ;;
      esac
      # one training of each method, at 4 and 8 bits
      compute attack --config "configs/reference/$net.yaml" \
        --models "$(grep -oE 'results/models/.*-[48]bit\.safetensors' "configs/reference/$net.yaml" | paste -sd,)" \
        --restarts 5 --batch 64 --images 500 --flips $flips --until-accuracy $until --out "${net//_/-}-attack"
      ;;
    *) echo "unknown step $1" >&2; exit 2 ;;
  esac
}

net=${1:?mnist_lenet5, cifar10_resnet20 or publish}
shift
case $net in
  mnist_lenet5) seeds="1 2 3" widths="2 4 8" ;;
  cifar10_resnet20) seeds=1 widths="4 8" ;;
  publish)
    exec "$wcat" publish results/cifar10-resnet20-all-images results/cifar10-resnet20 results/cifar10-resnet20-1-percent \
      results/cifar10-resnet20-28nm-many-chips results/cifar10-resnet20-attack results/mnist-lenet5-many-chips \
      results/mnist-lenet5 results/mnist-lenet5-28nm-many-chips results/mnist-lenet5-attack \
      results/tune-cifar10-resnet20 results/tune-mnist-lenet5 results/cifar10-resnet20-shared \
      --out docs/results.md --title "Reference results" --preface configs/reference/preface.md --cards
    ;;
  *) echo "unknown network $net" >&2; exit 2 ;;
esac
case ${1:?a step} in
  try | one) "$@" ;;
  *) for step in "$@"; do step "$step"; done ;;
esac
