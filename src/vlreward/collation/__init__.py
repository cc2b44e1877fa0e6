"""From records to the tensors that a model reads: templates, pictures, packing."""
