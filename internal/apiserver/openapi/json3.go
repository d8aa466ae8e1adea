package openapi

// jsonV3 is the document in JSON of OpenAPI 3.
func jsonV3(d *Document) []byte {
	w := &text{}
	w.object(func() {
		w.key("components")
		w.object(func() {
			w.key("schemas")
			w.object(func() { w.named(d.Schemas) })
			w.key("securitySchemes")
			w.object(w.bearer)
		})
		w.info(d)
		w.member("openapi", "3.0.0")
		w.key("paths")
		w.object(func() {
			for i := range d.Paths {
				w.pathV3(&d.Paths[i])
			}
		})
	})
	return w.buf
}

func (w *text) named(list []NamedSchema) {
	for _, s := range list {
		w.key(s.Name)
		w.schema(s.Schema)
	}
}

func (w *text) pathV3(p *Path) {
	w.key(p.Path)
	w.object(func() {
		for i := range p.Operations {
			w.operationV3(&p.Operations[i])
		}
		w.parametersV3(p.Parameters)
	})
}

func (w *text) operationV3(o *Operation) {
	w.key(o.Method)
	w.object(func() {
		w.member("description", o.Description)
		w.member("operationId", o.ID)
		w.parametersV3(o.Parameters)
		if o.Body != nil {
			w.key("requestBody")
			w.object(func() {
				w.content(o.Body.Media, o.Body.Schema)
				if o.Body.Required {
					w.key("required")
					w.bool(true)
				}
			})
		}
		w.key("responses")
		w.object(func() {
			for _, r := range o.Responses {
				w.key(r.Code)
				w.object(func() {
					w.content(o.Produces, r.Schema)
					w.member("description", r.Description)
				})
			}
		})
		w.strings("tags", []string{o.Tag})
		w.extensions(o.extensions())
	})
}

func (w *text) content(media []string, s *Schema) {
	if s == nil {
		return
	}
	w.key("content")
	w.object(func() {
		for _, m := range media {
			w.key(m)
			w.object(func() {
				w.key("schema")
				w.schema(s)
			})
		}
	})
}

func (w *text) parametersV3(list []Parameter) {
	if len(list) == 0 {
		return
	}
	w.key("parameters")
	w.array(func() {
		for i := range list {
			w.parameter(&list[i], func(p *Parameter) {
				w.key("schema")
				w.object(func() { w.member("type", p.Type) })
			})
		}
	})
}

// parameter writes one of the path or the query; kind writes its type.
func (w *text) parameter(p *Parameter, kind func(*Parameter)) {
	w.object(func() {
		w.member("description", p.Description)
		w.member("in", p.In)
		w.member("name", p.Name)
		if p.Required {
			w.key("required")
			w.bool(true)
		}
		kind(p)
	})
}
