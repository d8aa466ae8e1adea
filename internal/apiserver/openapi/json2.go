package openapi

// jsonV2 is the document in JSON of Swagger 2.
func jsonV2(d *Document) []byte {
	w := &text{swagger: true}
	w.object(func() {
		w.key("definitions")
		w.object(func() { w.named(d.Schemas) })
		w.info(d)
		w.key("paths")
		w.object(func() {
			for i := range d.Paths {
				w.pathV2(&d.Paths[i])
			}
		})
		w.key("security")
		w.array(func() {
			w.object(func() {
				w.key(bearer.name)
				w.array(func() {})
			})
		})
		w.key("securityDefinitions")
		w.object(w.bearer)
		w.member("swagger", "2.0")
	})
	return w.buf
}

func (w *text) pathV2(p *Path) {
	w.key(p.Path)
	w.object(func() {
		for i := range p.Operations {
			w.operationV2(&p.Operations[i])
		}
		w.parametersV2(nil, p.Parameters)
	})
}

func (w *text) operationV2(o *Operation) {
	w.key(o.Method)
	w.object(func() {
		w.strings("consumes", o.consumes())
		w.member("description", o.Description)
		w.member("operationId", o.ID)
		w.parametersV2(o.Body, o.Parameters)
		w.strings("produces", o.Produces)
		w.key("responses")
		w.object(func() {
			for _, r := range o.Responses {
				w.key(r.Code)
				w.object(func() {
					w.member("description", r.Description)
					if r.Schema != nil {
						w.key("schema")
						w.schema(r.Schema)
					}
				})
			}
		})
		w.strings("schemes", schemes)
		w.strings("tags", []string{o.Tag})
		w.extensions(o.extensions())
	})
}

var schemes = []string{"https"}

func (o *Operation) consumes() []string {
	if o.Body != nil {
		return o.Body.Media
	}
	return []string{anyMedia}
}

// parametersV2 writes the body as one of the parameters.
func (w *text) parametersV2(body *Body, list []Parameter) {
	if body == nil && len(list) == 0 {
		return
	}
	w.key("parameters")
	w.array(func() {
		if body != nil {
			w.body(body)
		}
		for i := range list {
			w.parameter(&list[i], func(p *Parameter) { w.member("type", p.Type) })
		}
	})
}

func (w *text) body(b *Body) {
	w.object(func() {
		w.member("in", "body")
		w.member("name", "body")
		if b.Required {
			w.key("required")
			w.bool(true)
		}
		w.key("schema")
		w.schema(b.Schema)
	})
}
