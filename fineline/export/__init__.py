"""Export of the merged model, one file per format that ships."""
