"""What single layers are: as linear maps, by their sizes, as tensors that can be cut; and a group's weights."""
