"""ShapeTracer: a module's source, and the shapes that its lines make."""
