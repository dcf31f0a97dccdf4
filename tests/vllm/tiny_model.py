"""Makes a vision-language model of 11 MB that answers every page with the same Markdown: tiny_model.py FOLDER.

The weights are a chain of tokens. The embedding is the identity, the layers pass on what they get, and the head has one
likely successor for each token: the next piece of the page. The image is really decoded, resized and attended to; it
changes nothing. Runs in the environment of install.sh.
"""

import json
import sys
from itertools import pairwise
from pathlib import Path

import torch
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
from transformers import Idefics3Config, Idefics3ForConditionalGeneration, PreTrainedTokenizerFast

PAGE = ["# Tiny", " page", "\n\n", "It was", " read", " by", " a", " real", " server", "."]  # every piece once
SPECIAL = [
    "<|endoftext|>", "<|im_start|>", "<|im_end|>", "<fake_token_around_image>", "<image>", "<end_of_utterance>",
    "<global-img>", *(f"<row_{row}_col_{col}>" for row in range(1, 7) for col in range(1, 7)),
]  # fmt: skip
TEMPLATE = (
    "{% for m in messages %}{{ '<|im_start|>' + m['role'] + '\n' }}{% if m['content'] is string %}{{ m['content'] }}"
    "{% else %}{% for p in m['content'] %}{{ '<image>' if p['type'] == 'image' else p['text'] }}{% endfor %}{% endif %}"
    "{{ '<|im_end|>' }}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)


def main(folder: Path) -> None:
    """Write the model, its tokenizer and its processor into `folder`."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    bpe = Tokenizer(models.BPE(vocab={byte: number for number, byte in enumerate(alphabet)}, merges=[]))
    bpe.pre_tokenizer, bpe.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
    bpe.add_special_tokens([AddedToken(each, special=True, normalized=False) for each in SPECIAL])
    bpe.add_tokens([AddedToken(each, special=False, normalized=False) for each in PAGE])
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=bpe,
        bos_token="<|im_start|>",
        eos_token="<|im_end|>",
        pad_token="<|endoftext|>",
        additional_special_tokens=SPECIAL[3:],
        clean_up_tokenization_spaces=False,
    )
    tokenizer.chat_template = TEMPLATE
    tokenizer.save_pretrained(folder)
    _model(tokenizer, bpe.token_to_id).save_pretrained(folder)
    edge = {"longest_edge": 128}
    processor = {"image_processor_type": "Idefics3ImageProcessor", "size": edge, "max_image_size": edge}
    processor |= {"do_image_splitting": False, "image_mean": [0.5] * 3, "image_std": [0.5] * 3}
    (folder / "preprocessor_config.json").write_text(json.dumps(processor))
    image_seq_len = (128 // 16 // 2) ** 2
    (folder / "processor_config.json").write_text(
        json.dumps({"processor_class": "Idefics3Processor", "image_seq_len": image_seq_len})
    )


def _model(tokenizer, number):
    size, ids = len(tokenizer), {"bos_token_id": number("<|im_start|>"), "eos_token_id": number("<|im_end|>")}
    pad = number("<|endoftext|>")
    text = {
        "model_type": "llama", "vocab_size": size, "hidden_size": 512, "intermediate_size": 64, "num_hidden_layers": 2,
        "num_attention_heads": 8, "num_key_value_heads": 8, "head_dim": 64, "max_position_embeddings": 4096,
        "tie_word_embeddings": False, "pad_token_id": pad, **ids,
    }  # fmt: skip
    sight = {
        "hidden_size": 64, "intermediate_size": 64, "num_hidden_layers": 1, "num_attention_heads": 2,
        "image_size": 128, "patch_size": 16,
    }  # fmt: skip
    config = Idefics3Config(
        text_config=text, vision_config=sight, image_token_id=number("<image>"), pad_token_id=pad, scale_factor=2, **ids
    )
    model = Idefics3ForConditionalGeneration(config)
    with torch.no_grad():
        inner = model.model.text_model
        inner.embed_tokens.weight.copy_(torch.eye(size, 512))
        for layer in inner.layers:
            layer.self_attn.o_proj.weight.zero_()
            layer.mlp.down_proj.weight.zero_()
        model.lm_head.weight.zero_()
        start = tokenizer.encode("\n", add_special_tokens=False)[-1]
        for before, after in pairwise([start, *map(number, PAGE), number("<|im_end|>")]):
            model.lm_head.weight[after, before] = 1.0
    return model.float()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
