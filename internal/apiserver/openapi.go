package apiserver

func (s *Server) addOpenAPI() {}
