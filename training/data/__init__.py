"""Reading, converting and writing data sets: what dataset_tool.py and ImageDataset are made of."""
