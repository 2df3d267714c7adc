"""What readers look for: each chapter's terms, its abbreviations and the notes' Chinese words, in index and search.

Sphinx's search finds an entry of the index by its name or half of it, ahead of words in the text; which of the
pages comes first is decided in search_order.js.
"""

from pathlib import Path

from docutils import nodes
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.config import Config
from sphinx.transforms import SphinxTransform

TERMS = {
    "foundations/attention_without_learning": "non-local means, denoising, 非局部均值, 去噪",
    "foundations/attention_pooling": "attention pooling, one query, readout, 注意力池化",
    "foundations/reading_shapes": "shapes, axes, softmax axis, softmax dim, einsum, rearrange, broadcasting, 形状, 维度",
    "spatial/self_attention": "self-attention, attention, SAGAN, query, key, value, gamma, γ, 1×1, 注意力, 自注意力, 空间注意力, 查询, 键, 值",
    "spatial/non_local": "non-local block, embedded Gaussian, video, 非局部, 视频",
    "channel/squeeze_excitation": "SE, SE block, SENet, channel attention, 通道, 通道注意力, 挤压, 激励",
    "channel/selective_kernel": "SK, SK unit, SKNet, dilation, receptive field, 感受野",
    "channel/efficient_channel": "ECA, ECANet, 1-D convolution, neighbours, 高效通道注意力",
    "mixed/cbam": "CBAM, CBAM block, channel gate, spatial gate, 混合注意力",
    "vit/vision_transformer": "ViT, multi-head attention, patches, CLS token, rollout, positional encoding, 多头注意力, 图像块, 位置编码",
    "vit/channel_tokens": "channel tokens, InfoNCE, contrastive learning, verification, 对比学习",
    "since/gates": "SimAM, coordinate attention, energy, ghosts, rows and columns, 坐标注意力, 无参注意力, 能量",
    "comparison/what_to_try": "what to try first, published results, ImageNet, COCO, detector, YOLO, 选择, 检测",
    "comparison/which_one": "which attention, comparison, controls, seeds, 对比, 比较",
}


def setup(app: Sphinx) -> dict:
    app.connect("config-inited", order_results)
    app.add_transform(IndexTerms)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def order_results(app: Sphinx, config: Config) -> None:
    config.html_search_scorer = str(Path(__file__).with_name("search_order.js"))


class IndexTerms(SphinxTransform):
    """Index entries that lead to a chapter's beginning."""

    default_priority = 800  # before Sphinx collects the entries

    def apply(self, **kwargs) -> None:
        title = next(self.document.findall(nodes.section), None)
        terms = TERMS.get(self.env.docname, "").split(", ")
        if title and terms != [""]:
            at = title["ids"][0]
            entries = [("single", term, at, "main", None) for term in terms]
            self.document.insert(0, addnodes.index(entries=entries))
