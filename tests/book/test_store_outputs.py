"""A notebook is kept clean: text alone as output, and nothing of the editor that wrote it."""

import copy

import nbformat
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output
from store_outputs import KERNEL, clean
from test_book import every_notebook


@every_notebook
def test_every_notebook_is_clean(path):
    notebook = nbformat.read(path, as_version=4)
    assert clean(copy.deepcopy(notebook)) == notebook, f"{path}: make outputs, or make hooks"


def test_what_an_editor_and_a_run_leave_is_taken_away():
    picture = new_output(
        "execute_result",
        {"text/plain": "<Figure>", "image/png": "iVBOR", "text/html": "<img>"},
        execution_count=17,
        metadata={"needs_background": "light"},
    )
    folded = {"tags": ["hide-cell"], "cellView": "form", "jupyter": {"source_hidden": True}}
    editor = {"execution": {"iopub.execute_input": "now"}, "colab": {"height": 40}}
    cells = [
        new_markdown_cell("text", metadata={"id": "x"}),
        new_code_cell("1", outputs=[new_output("stream", text="1\n")], execution_count=None),
        new_code_cell("2", outputs=[picture], metadata=folded | editor, execution_count=17),
    ]
    notebook = clean(
        new_notebook(
            cells=cells,
            metadata={"widgets": {}, "kernelspec": {"display_name": "x", "name": "x"}},
        )
    )
    assert notebook.metadata == {"kernelspec": KERNEL}
    text, first, second = notebook.cells
    assert text.metadata == first.metadata == {} and second.metadata == folded
    assert first.outputs[0].text == "1\n"
    assert second.outputs[0].data == {"text/plain": "<Figure>"}
    assert second.outputs[0].metadata == {}
    assert [first.execution_count, second.execution_count] == [1, 2]
    assert second.outputs[0].execution_count == 2
