"""Which pixels belong to which object: by colour in scenes of known make, by Mask R-CNN in photographs."""
