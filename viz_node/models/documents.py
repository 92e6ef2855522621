"""From texts to the tokenized documents that training and evaluation read."""

from collections.abc import Sequence

from transformers import PreTrainedTokenizerBase

from viz_node.models.fused import TokenizedDocument
from viz_node.models.literal import encode_texts
from viz_node.models.recipes import count_tokens, cut_documents


def tokenize(
    tokenizer: PreTrainedTokenizerBase, texts: Sequence[str], max_tokens: int, goldfish: int = 0
) -> list[TokenizedDocument]:
    """Each text between the begin and end tokens, cut to size; no other control token is in it."""
    begin = [tokenizer.bos_token_id] if tokenizer.bos_token_id is not None else []
    end = [tokenizer.eos_token_id] if tokenizer.eos_token_id is not None else []
    lists = [begin + ids + end for ids in encode_texts(tokenizer, [text for text in texts if text.strip()])]
    return [TokenizedDocument(ids, count_tokens(ids, goldfish)) for ids in cut_documents(lists, max_tokens)]
