"""Export of trained models: ONNX graphs, a vocabulary, and a JSON file that says how to run them."""
