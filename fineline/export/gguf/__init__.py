"""GGUF, the files of llama.cpp and Ollama: model, adapter, tokenizer, chat template and a Modelfile."""
