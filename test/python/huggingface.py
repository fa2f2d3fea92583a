"""A small Llama with the package's attentions, against its own: prints what each case finds."""

import tempfile

import torch
from mta_llama import MtacError, Mta, MtaAll, MtaDropping, MtaEarlier, MtaKeys, MtaNear, MtaPlain
from mta_llama.huggingface import attach
from transformers import BertConfig, BertModel, LlamaConfig, LlamaForCausalLM, MistralConfig, MistralForCausalLM

CONFIG = {
    "vocab_size": 64,
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 128,
    "pad_token_id": 0,
    "eos_token_id": None,
    "bos_token_id": None,
}


def model_of(kind=Mta, random=True, **changes):
    torch.manual_seed(0)
    model = LlamaForCausalLM(LlamaConfig(**{**CONFIG, **changes}))
    layers = [kind() for _ in range(CONFIG["num_hidden_layers"])]
    if random:
        for layer in layers:
            for parameter in layer.parameters():
                torch.nn.init.normal_(parameter, std=0.3)
    attach(model, layers)
    return model.eval()


def tokens_of(rows, batch=1):
    return torch.randint(1, 64, (batch, rows), generator=torch.Generator().manual_seed(rows))


def difference(a, b):
    return ((a - b).norm() / b.norm()).item()


def code_of(work):
    try:
        work()
        return "none"
    except MtacError as error:
        return error.code


def identity():
    """New parameters are the identity: the model computes what it computed before."""
    torch.manual_seed(0)
    plain = LlamaForCausalLM(LlamaConfig(**CONFIG)).eval()
    plain.set_attn_implementation("eager")
    ours = model_of(random=False)
    tokens = tokens_of(33, 2)
    results = []
    for model in (plain, ours):
        out = model(tokens, labels=tokens)
        out.loss.backward()
        results.append((out.logits, model.model.embed_tokens.weight.grad))
    print(*(difference(a, b) < 2e-5 for a, b in zip(*reversed(results))))
    print(ours.model.layers[1].self_attn.mta.scores.conv.weight.grad.abs().sum().item() > 0)


def padding():
    """Padding on either side changes nothing for the other rows."""
    model = model_of()
    short, long = tokens_of(9), tokens_of(20)
    alone = model(short).logits
    for left in (True, False):
        pad = torch.zeros(1, 11, dtype=torch.int64)
        padded = torch.cat([pad, short] if left else [short, pad], dim=1)
        mask = torch.stack([(padded[0] != 0).long(), torch.ones(20, dtype=torch.int64)])
        positions = (mask.cumsum(1) - 1).clamp(min=0)
        both = model(torch.cat([padded, long]), attention_mask=mask, position_ids=positions).logits
        own = both[:1, 11:] if left else both[:1, :9]
        print(difference(own, alone) < 2e-5, difference(both[1:], model(long).logits) < 2e-5)


def packed():
    """Sequences in one row, told apart by their positions, are what they are alone."""
    model = model_of()
    parts = [tokens_of(7), tokens_of(12), tokens_of(5)]
    positions = torch.cat([torch.arange(part.shape[1]) for part in parts])[None]
    whole = model(torch.cat(parts, dim=1), position_ids=positions, use_cache=False).logits
    alone = torch.cat([model(part).logits for part in parts], dim=1)
    print(difference(whole, alone) < 2e-5)


def generation():
    """Without the cache where queries before are read; with it where only keys are."""
    tokens = tokens_of(10)
    wanted = {"max_new_tokens": 6, "do_sample": False}
    model = model_of()
    uncached = model.generate(tokens, use_cache=False, **wanted)
    by_hand = tokens
    for _ in range(6):
        by_hand = torch.cat([by_hand, model(by_hand, use_cache=False).logits[:, -1:].argmax(-1)], dim=1)
    print(torch.equal(uncached, by_hand))
    print(code_of(lambda: model.generate(tokens, use_cache=True, **wanted)))
    keys = model_of(MtaKeys)
    print(torch.equal(keys.generate(tokens, **wanted), keys.generate(tokens, use_cache=False, **wanted)))
    print(code_of(lambda: keys.generate(tokens, cache_implementation="static", **wanted)))


def training():
    """Attentions are trained, checkpointed and saved with the model."""
    model = model_of().train()
    tokens = tokens_of(24, 2)
    model.gradient_checkpointing_enable()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    losses = []
    for _ in range(8):
        loss = model(tokens, labels=tokens, use_cache=False).loss
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        losses.append(loss.item())
    print(losses[-1] < 0.7 * losses[0])
    with tempfile.TemporaryDirectory() as folder:
        from safetensors.torch import load_file

        model.save_pretrained(folder)
        state = load_file(f"{folder}/model.safetensors")
    other = model_of()
    found = other.load_state_dict(state, strict=False)
    print(found.unexpected_keys, [each for each in found.missing_keys if each != "lm_head.weight"])
    print(torch.equal(other(tokens).logits, model.eval()(tokens).logits))
    half = model_of().to(torch.bfloat16)
    print(half(tokens).logits.dtype)
    compiled = torch.compile(model_of(), fullgraph=True, backend="aot_eager")
    print(difference(compiled(tokens, use_cache=False).logits, model_of()(tokens, use_cache=False).logits) < 1e-4)


def dropping():
    """Training drops weights as the spec says, evaluation none, and a model may say the same rate."""
    tokens = tokens_of(24, 2)
    model = model_of(MtaDropping, attention_dropout=0.2)
    kept = model(tokens).logits
    print(torch.equal(model(tokens).logits, kept))
    model.train()
    gradients = []
    for checkpointed in (False, True):
        model.zero_grad()
        if checkpointed:
            model.gradient_checkpointing_enable()
        torch.manual_seed(3)
        out = model(tokens, labels=tokens, use_cache=False)
        out.loss.backward()
        gradients.append([out.logits, *(each.grad for each in model.parameters())])
    print(difference(gradients[0][0], kept) > 1e-3)
    print(all(difference(a, b) < 1e-5 for a, b in zip(*gradients)))
    print(code_of(lambda: model_of(MtaDropping, attention_dropout=0.1).train()(tokens)))


def masks():
    """What a model has of masks and its spec too: a window, and rows that see later ones."""
    torch.manual_seed(0)
    config = MistralConfig(**CONFIG, sliding_window=6)
    windowed = MistralForCausalLM(config).eval()
    windowed.set_attn_implementation("eager")
    tokens = tokens_of(20, 2)
    wanted = windowed(tokens, use_cache=False).logits
    attach(windowed, [MtaNear() for _ in range(2)])
    print(difference(windowed(tokens, use_cache=False).logits, wanted) < 2e-5)
    config = BertConfig(
        vocab_size=64, hidden_size=64, num_hidden_layers=2, num_attention_heads=4, intermediate_size=96,
        attention_probs_dropout_prob=0.0,
    )
    both_ways = BertModel(config).eval()
    wanted = both_ways(tokens).last_hidden_state
    attach(both_ways, [MtaAll() for _ in range(2)])
    print(difference(both_ways(tokens).last_hidden_state, wanted) < 2e-5)
    attach(both_ways, [MtaEarlier() for _ in range(2)])
    print(code_of(lambda: both_ways(tokens)))


def errors():
    """What a model wants and the spec does not say is refused."""
    print(code_of(lambda: model_of(num_hidden_layers=3)))
    print(code_of(lambda: model_of(num_attention_heads=8)))
    print(code_of(lambda: model_of(attention_dropout=0.1).train()(tokens_of(8))))
    print(code_of(lambda: model_of()(tokens_of(8), attention_mask=torch.ones(1, 1, 8, 8))))
    print(code_of(lambda: model_of(MtaAll, num_key_value_heads=4)(tokens_of(8))))
    near = model_of(MtaNear)
    print(code_of(lambda: near(tokens_of(6))), code_of(lambda: near(tokens_of(7))))
    plain = model_of(MtaPlain)
    print(code_of(lambda: plain(tokens_of(8))))
    mask = torch.tensor([[0, 0, 1, 1, 1, 1, 1, 1]])
    print(code_of(lambda: plain(tokens_of(8), attention_mask=mask)))
    print(code_of(lambda: plain(tokens_of(8), attention_mask=mask.flip(1))))
    torch.manual_seed(0)
    bare = LlamaForCausalLM(LlamaConfig(**CONFIG, attn_implementation=plain.config._attn_implementation))
    print(code_of(lambda: bare(tokens_of(8))))


for case in (identity, padding, packed, generation, training, dropping, masks, errors):
    print(f"{case.__name__}:")
    case()
