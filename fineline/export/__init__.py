"""Export: the merged model as ONNX, and the proof that the conversion is right."""
